#!/usr/bin/env bash
# The packed tarball, installed in an empty folder with Express: the README's service names the tenant that fails, as ESM and as CommonJS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
HERE=$PWD
FOLDER=$(mktemp -d)
SERVER=
trap '[ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null; rm -rf "$FOLDER"' EXIT
TARBALL=$(npm pack --silent --pack-destination "$FOLDER" | tail -n 1)
cd "$FOLDER"
npm init -y >/dev/null 2>&1
npm install --silent --no-audit --no-fund "./$TARBALL" express@5
# The first program of the README, as it is pasted; and as CommonJS.
awk '/^```js$/ { on = 1; next } /^```$/ { if (on) exit } on' "$HERE/README.md" > app.mjs
sed -E 's/^import (.*) from (.*)$/const \1 = require(\2)/' app.mjs > app.cjs
PORT=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close() })")
export PORT SENTINEL_ADMIN_TOKEN=correct-horse-battery
for program in app.mjs app.cjs; do
    node "$program" &
    SERVER=$!
    node --input-type=module -e '
const base = `http://127.0.0.1:${process.env.PORT}`
const headers = { authorization: `Bearer ${process.env.SENTINEL_ADMIN_TOKEN}` }
for (let left = 200; ; left--) {
  try { await fetch(`${base}/orders/0`); break } catch (error) { if (left === 0) throw error }
  await new Promise((resolve) => setTimeout(resolve, 50))
}
for (let i = 0; i < 60; i++) {
  const tenant = `tenant_${i % 3}`
  await fetch(`${base}/orders/${i}${tenant === "tenant_1" ? "?fail=1" : ""}`, { headers: { "x-tenant-id": tenant } })
}
const report = await (await fetch(`${base}/sentinel/report?by=errors`, { headers })).json()
const [worst] = report.tenants
if (worst.tenant_id !== "tenant_1" || worst.errors !== 20 || worst.top_endpoint.endpoint !== "/orders/:order") throw new Error(JSON.stringify(report))
console.log(`'"$program"': ${report.verdict.text}`)
'
    kill "$SERVER"
    wait "$SERVER" 2>/dev/null || true
    SERVER=
done
# One addon and one package, whichever way it is loaded.
node --input-type=module -e '
import { createRequire } from "node:module"
import { Sentinel } from "tenant-sentinel"
if (createRequire(import.meta.url)("tenant-sentinel").Sentinel !== Sentinel) throw new Error("there are two of it")
for (const name of ["express", "fastify", "koa", "http", "nest"]) await import(`tenant-sentinel/${name}`)
'
