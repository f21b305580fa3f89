// The adapter is one for ESM and CommonJS alike.
import cjs from './express.cjs'

export const { sentinel, admin, setTenant, upgrades } = cjs
