// What pairs of measurements say: without and with, one right after the other.

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const short = (ns) => Math.round(ns * 10) / 10

/** Prints the median with it, the median difference, and how far off that may be. */
export function print(pairs) {
  const over = pairs.map(([without, within]) => within - without).toSorted((a, b) => a - b)
  // Where the median of as many pairs lies, in 95 of 100 runs of this.
  const ranks = 0.98 * Math.sqrt(over.length)
  const low = over[Math.max(0, Math.floor(over.length / 2 - ranks))]
  const high = over[Math.min(over.length - 1, Math.ceil(over.length / 2 + ranks))]
  console.log(JSON.stringify({ ns: short(median(pairs.map(([, within]) => within))), over_ns: short(median(over)), noise_ns: short((high - low) / 2) }))
}
