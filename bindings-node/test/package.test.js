// The packed tarball: one version, an addon that any libc can load and that stays where it was loaded.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('..', import.meta.url))
const PACKAGE = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8'))

test('one version', () => {
  const [, version] = /\[workspace\.package\]\nversion = "(.*)"/.exec(readFileSync(join(HERE, '../Cargo.toml'), 'utf8'))
  assert.equal(PACKAGE.version, version)
})

test('every module is there for ESM and CommonJS, with its types, and is packed with the addon', async () => {
  const files = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: HERE, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  const packed = new Set((Array.isArray(files) ? files[0] : Object.values(files)[0]).files.map(({ path }) => `./${path}`))
  assert.ok([...packed].some((path) => path.endsWith('.node')) && packed.has('./native.cjs'))
  for (const [name, entry] of Object.entries(PACKAGE.exports)) {
    if (typeof entry === 'string') continue
    for (const { types, default: code } of Object.values(entry)) {
      assert.ok(packed.has(types) && packed.has(code), name)
      await import(join(HERE, code))
    }
  }
  assert.ok(![...packed].some((path) => /test|bench|\.rs$/.test(path)))
})

test('the addon has no static thread-local storage and is never unloaded', { skip: process.platform !== 'linux' }, () => {
  const [addon] = readdirSync(HERE).filter((file) => file.endsWith('.node'))
  const dynamic = execFileSync('readelf', ['-d', join(HERE, addon)], { encoding: 'utf8' })
  assert.ok(!dynamic.includes('STATIC_TLS'))
  assert.match(dynamic, /NODELETE/)
})
