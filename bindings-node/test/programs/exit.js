// Records seven events, and ends in the way that is asked for. What the last batch counts is seen when the process exits.
import { Sentinel } from 'tenant-sentinel'

const s = new Sentinel()
s.record('acme', '/', 200, 1)
// It shares what is counted, and its query does not flush the other one's batch.
const seen = Sentinel.attach(s.handle)
process.on('exit', () => {
  console.log(`accepted ${seen.stats().accepted}`)
})
for (let i = 0; i < 6; i++) s.record('acme', '/', 200, 1)

switch (process.argv[2]) {
  case 'exit':
    process.exit(3)
    break
  case 'throws':
    throw new Error('a bug in the application')
  case 'rejects':
    Promise.reject(new Error('a bug in the application'))
    break
  case 'waits':
    console.log('ready')
    setTimeout(() => {}, 30_000)
    break
  case 'handles':
    process.on('SIGTERM', () => process.exit(0))
    console.log('ready')
    setTimeout(() => {}, 30_000)
    break
  case 'in flight':
    globalThis.request = s.start('acme')
    break
}
