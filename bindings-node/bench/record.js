import { print } from './pairs.js'

// What one record costs, native work included, with ids that are made anew each time, as those of requests are: a contender beside a
// function that does nothing, in one process, in turn, so that what the machine does meanwhile, it does to both.
const [name, contender, quick] = process.argv.slice(2)
const TENANTS = name === 'record-1k' ? 1_000 : 100_000
const PAIRS = quick ? 20 : 300
const EVENTS = contender === 'sentinel' || contender === 'nothing' ? 10_000 : 2_000

/** Whose each event is, over and over: all alike, or (zipf) the first twice as often as the second, three times as often as the third. */
function drawn() {
  let x = 1
  const random = () => (x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff) / 0x80000000
  if (!name.includes('zipf')) return Uint32Array.from({ length: 1 << 20 }, () => Math.floor(random() * TENANTS))
  const upTo = new Float64Array(TENANTS)
  let sum = 0
  for (let i = 0; i < TENANTS; i++) upTo[i] = sum += 1 / (i + 1)
  return Uint32Array.from({ length: 1 << 20 }, () => {
    const at = random() * sum
    let [low, high] = [0, TENANTS - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle] < at) low = middle + 1
      else high = middle
    }
    return low
  })
}

const CONTENDERS = {
  nothing: async () => () => {},
  async sentinel() {
    const { Sentinel } = await import('tenant-sentinel')
    const s = new Sentinel()
    return (tenant, status, latency) => s.record(tenant, '/v1/process', status, latency)
  },
  async 'prom-client'() {
    const { default: prom } = await import('prom-client')
    const labelNames = ['tenant', 'endpoint', 'status']
    const requests = new prom.Counter({ name: 'requests', help: 'requests', labelNames })
    const latencies = new prom.Histogram({ name: 'latency', help: 'latency', labelNames })
    return (tenant, status, latency) => {
      const labels = { tenant, endpoint: '/v1/process', status }
      requests.inc(labels)
      latencies.observe(labels, latency / 1_000)
    }
  },
  async opentelemetry() {
    const { MeterProvider } = await import('@opentelemetry/sdk-metrics')
    const { MetricReader } = await import('@opentelemetry/sdk-metrics')
    class Reader extends MetricReader {
      async onForceFlush() {}
      async onShutdown() {}
    }
    const meter = new MeterProvider({ readers: [new Reader()] }).getMeter('bench')
    const requests = meter.createCounter('requests')
    const latencies = meter.createHistogram('latency')
    return (tenant, status, latency) => {
      const attributes = { tenant, endpoint: '/v1/process', status }
      requests.add(1, attributes)
      latencies.record(latency, attributes)
    }
  }
}

const tenants = drawn()
const runs = []
for (const each of ['nothing', contender]) {
  const record = await CONTENDERS[each]()
  // A function of its own for each, so that neither is compiled for both.
  const source = `let at = 0
    return (events) => {
      for (let i = 0; i < events; i++) {
        const tenant = \`tenant_\${tenants[at++ & (tenants.length - 1)]}\`
        sink.last = tenant
        record(tenant, at % 50 === 0 ? 500 : 200, (at & 1_023) / 10)
      }
    }`
  runs.push(new Function('record', 'tenants', 'sink', source)(record, tenants, {}))
}
/** CPU time of an event, in ns. */
function measured(run) {
  const before = process.cpuUsage()
  run(EVENTS)
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / EVENTS
}
const [without, within] = runs
for (let i = 0; i < Math.max(20, (TENANTS * 3) / EVENTS); i++) {
  without(EVENTS)
  within(EVENTS)
}
const pairs = []
for (let i = 0; i < PAIRS; i++) {
  const times = i % 2 === 0 ? [measured(without), measured(within)] : [measured(within), measured(without)].reverse()
  pairs.push(times)
}
print(pairs)
process.exit()
