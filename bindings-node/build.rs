//! Links the addon so that Node can load it, and so that it is never unloaded.

fn main() {
    napi_build::setup();
    // Node unloads an addon with the last worker thread that loaded it, while destructors of that thread still call into the addon.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
