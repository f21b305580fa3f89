// Measures the Node package beside its peers: `make bench-node`.
//
// Each measurement is a process of its own, in which an app or a loop with the contender and one without take turns; what a contender
// costs is the median difference of these pairs, its noise what that median may be off by. Contenders take turns too; medians of
// the rounds. The contender `nothing` shows what the harness makes of no difference.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const RECORD = ['nothing', 'sentinel', 'prom-client', 'opentelemetry']
// Case, program, contenders, what must be reached (ns over nothing, of Sentinel).
const CASES = [
  ['record-1k', 'record.js', RECORD, 130],
  ['record-100k', 'record.js', RECORD, 130],
  ['record-zipf-100k', 'record.js', RECORD, 130],
  ['express', 'adapters.js', ['nothing', 'sentinel', 'express-prom-bundle', 'apitally'], 4_000],
  ['fastify', 'adapters.js', ['nothing', 'sentinel', 'fastify-metrics', 'apitally'], 4_000],
  ['memory', 'memory.js', ['sentinel']]
]

const { values: asked } = parseArgs({
  options: {
    out: { type: 'string' },
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '3' },
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

/** One contender over its rounds, with its ratio to Sentinel where there is one. */
function line(name, contender, found, target, sentinel) {
  if (name === 'memory') return { case: name, contender, ...found.at(-1) }
  const [ns, over_ns, noise_ns] = ['ns', 'over_ns', 'noise_ns'].map((what) => median(found.map((round) => round[what])))
  const out = { case: name, contender, ns, over_ns, noise_ns }
  if (contender === 'sentinel') Object.assign(out, { target_ns: target, reached: over_ns <= target })
  else if (contender !== 'nothing') out.times_sentinel = median(found.map((round, i) => Math.round((round.over_ns / sentinel[i].over_ns) * 10) / 10))
  return { ...out, rounds: found.map((round) => round.over_ns) }
}

function show({ case: name, contender, over_ns, noise_ns, target_ns, reached, times_sentinel, ...rest }) {
  const words = [name.padEnd(17), contender.padEnd(20)]
  if (over_ns === undefined) words.push(`heap ${rest.heap_growth_mib} MiB, RSS ${rest.rss_growth_mib} MiB more after ${rest.events} events`)
  else {
    words.push(`${over_ns.toFixed(0).padStart(7)} ns over nothing, ± ${noise_ns.toFixed(0)}`)
    if (target_ns !== undefined) words.push(reached ? `  reached (${target_ns})` : `  MISSED (${target_ns})`)
    if (times_sentinel !== undefined) words.push(`  ${times_sentinel} times Sentinel`)
  }
  console.log(words.join(' '))
}

const lines = []
for (const [name, program, contenders, target] of CASES) {
  if (asked.only !== undefined && !asked.only.includes(name)) continue
  const rounds = Object.fromEntries(contenders.map((contender) => [contender, []]))
  for (let i = 0; i < (asked.quick || name === 'memory' ? 1 : Number(asked.rounds)); i++) {
    for (const contender of contenders) rounds[contender].push(measured(program, name, contender, ...(asked.quick ? ['--quick'] : [])))
  }
  for (const contender of contenders) {
    lines.push(line(name, contender, rounds[contender], target, rounds.sentinel))
    show(lines.at(-1))
  }
}
for (const line of lines) console.log(JSON.stringify(line))
if (asked.out !== undefined) writeFileSync(asked.out, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
