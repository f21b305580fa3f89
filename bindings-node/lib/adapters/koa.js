// ESM and CommonJS share one instance of the adapter.
import cjs from './koa.cjs'

export const { sentinel, admin, setTenant, upgrades } = cjs
