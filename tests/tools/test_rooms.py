"""The check of the rooms finds what it says it finds: each test builds a small crate and runs `tools/rooms` on it."""

import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
loader = importlib.machinery.SourceFileLoader("rooms", str(ROOT / "tools" / "rooms"))
spec = importlib.util.spec_from_loader("rooms", loader)
rooms = importlib.util.module_from_spec(spec)
sys.modules["rooms"] = rooms
loader.exec_module(rooms)

LINES = ["lib", "engine", ("left", "right"), "event", "util"]
SOUND = {
    "lib.rs": "mod engine;\nmod left;\nmod right;\nmod event;\nmod util;\npub use event::Event;\n",
    "engine/mod.rs": "mod closing;\nuse crate::event::Event;\n",
    "engine/closing.rs": "use super::helper;\nuse crate::{event::{Event, tenant}, util::clock};\n",
    "left.rs": "use crate::event::Event;\n",
    "right.rs": "use crate::util::clock;\n",
    "event/mod.rs": "pub mod tenant;\npub struct Event;\n",
    "event/tenant.rs": "use crate::util::clock::Clock;\n",
    "util/mod.rs": "pub mod clock;\n",
    "util/clock.rs": "pub struct Clock;\n",
}


def findings(**changes: str) -> list[str]:
    """What the check says of the sound crate after `changes`: file (`__` for `/`) to text."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **{key.replace("__", "/") + ".rs": text for key, text in changes.items()}}.items():
            file = Path(folder, "crate/src", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return rooms.check_crate(Path(folder), "crate/src", LINES, set(), False)


class Rooms(unittest.TestCase):
    def test_a_sound_tree_has_no_finding(self):
        self.assertEqual(findings(), [])

    def test_an_upward_import_is_found_however_it_is_written(self):
        for text in (
            "use crate::engine::Engine;",
            "use crate::{util::clock, engine::{self, closing::Thing}};",
            "use super::super::engine::Engine;",
            "fn f() { crate::engine::closing::work() }",
            "pub(crate) use crate::engine::Engine as Other;",
        ):
            found = findings(event__tenant=text)
            self.assertTrue(any(": upward: `event` imports from `engine`" in line for line in found), (text, found))

    def test_an_import_through_the_root_leads_to_the_file_that_defines_it(self):
        found = findings(util__clock="use crate::Event;\n")
        self.assertTrue(any("`util` imports from `event`" in line for line in found), found)

    def test_rooms_in_one_line_do_not_see_each_other(self):
        found = findings(left="use crate::right::Thing;\n")
        self.assertEqual(len(found), 1, found)
        self.assertIn("sideways: `left` imports from `right`", found[0])

    def test_a_cycle_across_rooms_is_found(self):
        found = findings(util__clock="use crate::event::tenant::Tenant;\n")
        self.assertTrue(any(line.startswith("cycle across rooms: ") for line in found), found)

    def test_a_room_that_nobody_listed_is_found(self):
        found = findings(attic="use crate::util::clock;\n")
        self.assertTrue(any("room `attic` is not in the list" in line for line in found), found)

    def test_comments_strings_and_tests_are_no_imports(self):
        for text in (
            "// use crate::engine::Engine;\n",
            "/* use crate::engine::Engine; */\n",
            '/// [`x`](crate::engine::Engine)\nconst A: &str = "crate::engine::Engine";\n',
            "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n",
            "#[cfg(all(test, windows))]\nuse crate::engine::Engine;\n",
        ):
            self.assertEqual(findings(util__clock=text), [], text)

    def test_code_behind_a_test_module_is_read(self):
        text = "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::engine::Engine;\n"
        self.assertTrue(findings(util__clock=text))

    def test_a_long_file_is_found_and_its_tests_are_not(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, lines in (("examples/a.rs", 601), ("examples/b.rs", 600), ("examples/tests/c.rs", 900)):
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("x\n" * lines)
            found = rooms.check_lengths(Path(folder))
        self.assertEqual([line.split(":")[0] for line in found], ["examples/a.rs"])


if __name__ == "__main__":
    unittest.main()
