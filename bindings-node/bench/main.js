// Measures the Node package beside its peers: `make bench-node`.
//
// CPU time, each measurement in a process of its own, contenders in turn; medians of the rounds. What a record or an adapter costs is
// the difference to doing nothing, measured in the same round.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const RECORD = ['nothing', 'sentinel', 'prom-client', 'opentelemetry']
// Case, program, contenders, what must be reached (ns over nothing, of Sentinel).
const CASES = [
  ['record-1k', 'record.js', RECORD, 130],
  ['record-100k', 'record.js', RECORD, 130],
  ['express', 'adapters.js', ['nothing', 'sentinel', 'express-prom-bundle', 'apitally'], 4_000],
  ['fastify', 'adapters.js', ['nothing', 'sentinel', 'fastify-metrics', 'apitally'], 4_000],
  ['memory', 'memory.js', ['sentinel']]
]

const { values: asked } = parseArgs({
  options: {
    out: { type: 'string' },
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false }
  }
})
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

function measured(program, ...given) {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', path, ...given], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${given.join(' ')}: ${stderr}`)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

const lines = []
for (const [name, program, contenders, target] of CASES) {
  if (asked.only !== undefined && !asked.only.includes(name)) continue
  const rounds = Object.fromEntries(contenders.map((contender) => [contender, []]))
  for (let i = 0; i < (asked.quick ? 1 : Number(asked.rounds)); i++) {
    for (const contender of contenders) rounds[contender].push(measured(program, name, contender, ...(asked.quick ? ['--quick'] : [])))
  }
  for (const contender of contenders) {
    const line = { case: name, contender }
    const found = rounds[contender]
    if (name === 'memory') Object.assign(line, found.at(-1))
    else {
      line.ns = median(found.map(({ ns }) => ns))
      if (contender !== 'nothing') line.over_nothing_ns = Math.round(median(found.map(({ ns }, i) => ns - rounds.nothing[i].ns)) * 10) / 10
      if (contender === 'sentinel' && !asked.quick) Object.assign(line, { target_ns: target, reached: line.over_nothing_ns <= target })
      line.rounds = found.map(({ ns }) => ns)
    }
    lines.push(line)
    const over = line.over_nothing_ns === undefined ? '' : `${line.over_nothing_ns.toFixed(0).padStart(10)} ns over nothing`
    const verdict = line.reached === undefined ? '' : line.reached ? '   reached' : '   MISSED'
    const memory = line.rss_growth_mib === undefined ? '' : `heap ${line.heap_growth_mib} MiB, RSS ${line.rss_growth_mib} MiB more after ${line.events} events`
    console.log(`${name.padEnd(12)} ${contender.padEnd(20)} ${line.ns === undefined ? '' : `${line.ns.toFixed(0).padStart(10)} ns`}${over}${verdict}${memory}`)
  }
}
for (const line of lines) console.log(JSON.stringify(line))
if (asked.out !== undefined) writeFileSync(asked.out, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
