// Heap and memory of the process over events of ids that come once.
import { Sentinel } from 'tenant-sentinel'

const EVENTS = process.argv.includes('--quick') ? 1_000_000 : 10_000_000
const s = new Sentinel({ budget: '16MiB' })
let made = 0
const run = (events) => {
  for (let i = 0; i < events; i++) s.record(`tenant_${made++}_of_many`, '/v1/process', made % 20 === 0 ? 500 : 200, 12.5)
}
const look = () => {
  s.flush()
  globalThis.gc()
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20 }
}
// Once around, so that the tables have the size that they will have.
run(EVENTS / 2)
s.report()
const before = look()
for (let i = 0; i < 10; i++) {
  run(EVENTS / 10)
  s.report()
  await new Promise((resolve) => setTimeout(resolve, 5))
}
const after = look()
const grown = (what) => Math.round((after[what] - before[what]) * 100) / 100
const { offered, accepted } = s.stats()
console.log(JSON.stringify({ events: EVENTS, heap_growth_mib: grown('heap'), rss_growth_mib: grown('rss'), rss_mib: Math.round(after.rss), lost: offered - accepted }))
