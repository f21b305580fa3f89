// ESM and CommonJS share one instance of the adapter.
import cjs from './express.cjs'

export const { sentinel, admin, setTenant, upgrades } = cjs
