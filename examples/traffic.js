// Clients for the Node examples: thirty tenants, one of which begins to fail, and the verdict as it changes.
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const TENANTS = [...Array.from({ length: 29 }, (_, i) => `tenant_${String(i).padStart(2, '0')}`), 'tenant_acme']
export const TOKEN = 'correct-horse-battery'

/** What the examples can be told. */
export function options() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '3000' },
      seconds: { type: 'string', default: '1e9' },
      'fails-after': { type: 'string', default: '10' }
    }
  })
  return { port: Number(values.port), seconds: Number(values.seconds), failsAfter: Number(values['fails-after']) }
}

/** Starts the clients and who prints the verdicts. */
export function begin(sentinel, { port, seconds, failsAfter }) {
  console.log(`http://127.0.0.1:${port}/sentinel/ with the token ${TOKEN}; tenant_acme fails in ${failsAfter} s`)
  const began = performance.now()
  for (let i = 0; i < 4; i++) client(port, began + failsAfter * 1_000)
  let said = ''
  setInterval(() => {
    sentinel.tick()
    const { kind } = sentinel.verdict()
    if (kind !== said) console.log(sentinel.text({ limit: 3 }))
    said = kind
    if (performance.now() - began > seconds * 1_000) process.exit()
  }, 1_000)
}

async function client(port, failsFrom) {
  const agent = new http.Agent({ keepAlive: true })
  for (let i = 0; ; i++) {
    const tenant = TENANTS[Math.floor(Math.random() * TENANTS.length)]
    const fail = (tenant === 'tenant_acme' && performance.now() > failsFrom) || Math.random() < 0.002
    await new Promise((resolve) => {
      const headers = { 'x-tenant-id': tenant }
      const asked = http.get({ host: '127.0.0.1', port, agent, headers, path: `/orders/${i}${fail ? '?fail=1' : ''}` })
      asked.on('response', (res) => res.resume().on('end', resolve)).on('error', resolve)
    })
    await pause(20)
  }
}
