// Bodies that take their time, or break.
import { Readable } from 'node:stream'
import { pause } from './client.js'

async function* two(ms) {
  yield 'chunk'
  await pause(ms)
  yield 'chunk'
}

async function* broken() {
  yield 'chunk'
  await pause(50) // the first one is on its way
  throw new Error('the disk is gone')
}

export const chunks = (ms) => Readable.from(two(ms), { objectMode: false })
export const breaking = () => Readable.from(broken(), { objectMode: false })

/** An error that says its own status. */
export class Refused extends Error {
  status = 503
  statusCode = 503
}
