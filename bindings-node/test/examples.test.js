// Each example names who fails.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pause } from './support/client.js'

const HERE = fileURLToPath(new URL('..', import.meta.url))

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

for (const framework of ['express', 'fastify']) {
  test(`the ${framework} example names who fails`, { timeout: 90_000 }, async (t) => {
    // Where its dependencies are those of the tests.
    const folder = await mkdtemp(join(tmpdir(), 'example-'))
    await cp(join(HERE, '../examples/traffic.js'), join(folder, 'traffic.js'))
    await cp(join(HERE, '../examples/package.json'), join(folder, 'package.json'))
    await cp(join(HERE, `../examples/${framework}_app/main.js`), join(folder, 'app/main.js'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(join(HERE, 'node_modules', framework), join(folder, 'node_modules', framework))
    await symlink(HERE, join(folder, 'node_modules/tenant-sentinel'))
    const port = await freePort()
    const child = spawn(process.execPath, [join(folder, 'app/main.js'), '--port', port, '--fails-after', '5'], { stdio: 'inherit' })
    t.after(async () => {
      child.kill()
      await rm(folder, { recursive: true })
    })
    for (;;) {
      assert.equal(child.exitCode, null)
      await pause(500)
      const headers = { authorization: 'Bearer correct-horse-battery' }
      const answer = await fetch(`http://127.0.0.1:${port}/sentinel/report`, { headers }).catch(() => undefined)
      const report = await answer?.json()
      if (report?.verdict.kind !== 'one_tenant') continue
      assert.deepEqual(report.verdict.tenants, ['tenant_acme'])
      assert.equal(report.tenants[0].top_endpoint.endpoint, '/orders/:order')
      break
    }
  })
}

test('the programs of the README run', async () => {
  const readme = await readFile(join(HERE, 'README.md'), 'utf8')
  const [, , second] = readme.split('```js\n')
  const child = spawn(process.execPath, ['--input-type=module', '-e', second.split('```')[0]], { cwd: HERE })
  let out = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  assert.match(out, /^tenant_acme quiet\n/)
})

const ROOT = join(HERE, '..')
const TOKEN = 'correct-horse-battery'

const programs = async (path) => (await readFile(path, 'utf8')).split('```js\n').slice(1).map((block) => block.split('```')[0])

// Where it finds what it imports, and its own directory for what processes share.
async function run(t, code) {
  const folder = await mkdtemp(join(tmpdir(), 'page-'))
  await writeFile(join(folder, 'program.mjs'), code)
  await mkdir(join(folder, 'node_modules'))
  await symlink(join(HERE, 'node_modules/express'), join(folder, 'node_modules/express'))
  await symlink(HERE, join(folder, 'node_modules/tenant-sentinel'))
  const env = { ...process.env, SENTINEL_DIR: folder, SENTINEL_ADMIN_TOKEN: TOKEN }
  const child = spawn(process.execPath, [join(folder, 'program.mjs')], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    child.kill()
    await rm(folder, { recursive: true, force: true })
  })
  return child
}

test('the service of the first page, as it is pasted', { timeout: 60_000 }, async (t) => {
  const [code, ...others] = await programs(join(ROOT, 'README.md'))
  assert.deepEqual(others, [])
  assert.match(code, /listen\(3000\)/)
  const port = await freePort()
  const child = await run(t, code.replace('3000', port))
  const ask = (path, headers) => fetch(`http://127.0.0.1:${port}${path}`, { headers }).catch(() => undefined)
  while ((await ask('/orders/7', { 'x-tenant-id': 'acme' })) === undefined) {
    assert.equal(child.exitCode, null)
    await pause(50)
  }
  const report = await (await ask('/sentinel/report', { authorization: `Bearer ${TOKEN}` })).json()
  assert.deepEqual([report.tenants[0].tenant_id, report.totals.requests, report.totals.errors], ['acme', 1, 0])
})

test('the programs of the documents print what they say', { timeout: 120_000 }, async (t) => {
  const pages = []
  for (const page of (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).sort()) {
    for (const code of await programs(join(ROOT, 'docs', page))) {
      const says = code.split('\n').filter((line) => line.startsWith('console.log(')).map((line) => line.split(' // ')[1])
      assert.notEqual(says.length, 0)
      // An exporter that is kept from answering for 250 ms is an error, or a process that answers for itself.
      for (let left = 10; ; left--) {
        const child = await run(t, code)
        let out = ''
        child.stdout.on('data', (chunk) => (out += chunk))
        const [exit] = await once(child, 'close')
        const printed = out.trimEnd().split('\n')
        if (exit === 0 && printed.join() === says.join()) break
        assert.notEqual(left, 0, `${page}: ${exit}: ${printed}`)
      }
      pages.push(page)
    }
  }
  assert.deepEqual(pages, ['alerts.md', 'services.md', 'uptime.md', 'workers.md'])
})
