#!/usr/bin/env bash
# A typed consumer compiles, as ESM and CommonJS, under both ways of resolving a package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
FLAGS=(--noEmit --strict --target es2023 --types node --esModuleInterop --noUncheckedIndexedAccess --skipLibCheck)
npx tsc "${FLAGS[@]}" --module node16 --moduleResolution node16 test/types/consumer.mts test/types/consumer.cts
npx tsc "${FLAGS[@]}" --module preserve --moduleResolution bundler test/types/consumer.mts
# Without skipLibCheck: ours only, since what others publish is not ours to mend.
npx tsc --noEmit --strict --target es2023 --types node --module node16 --moduleResolution node16 lib/index.d.ts lib/index.d.cts lib/adapters/adapter.d.cts lib/adapters/nest.d.cts lib/adapters/http.d.ts
