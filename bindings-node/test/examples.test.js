// Each example names who fails.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
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
  test(`the ${framework} example names who fails`, { timeout: 240_000 }, async (t) => {
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
