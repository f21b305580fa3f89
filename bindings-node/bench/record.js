// What one record costs, native work included, with ids that are made anew each time, as those of requests are.
const [name, contender, quick] = process.argv.slice(2)
const TENANTS = name === 'record-1k' ? 1_000 : 100_000
const EVENTS = quick ? 200_000 : contender === 'sentinel' || contender === 'nothing' ? 5_000_000 : 1_000_000

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

const record = await CONTENDERS[contender]()
let x = 1
let length = 0
function run(events) {
  for (let i = 0; i < events; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff
    const tenant = `tenant_${(x >> 8) % TENANTS}`
    length += tenant.length
    record(tenant, x % 50 === 0 ? 500 : 200, (x & 1_023) / 10)
  }
}
run(Math.max(EVENTS / 5, TENANTS * 3))
const before = process.cpuUsage()
run(EVENTS)
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ ns: Math.round(((user + system) * 10_000) / EVENTS) / 10, length }))
process.exit()
