// The addon and its batches are one for ESM and CommonJS alike.
import cjs from './index.cjs'

export const { Sentinel, setTenant } = cjs
