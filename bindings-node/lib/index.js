// ESM and CommonJS share one instance of the addon and of its batches.
import cjs from './index.cjs'

export const { Sentinel, setTenant } = cjs
