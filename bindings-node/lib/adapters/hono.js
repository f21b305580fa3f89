// ESM and CommonJS each load a Hono of their own, so each needs an adapter of its own.
import { matchedRoutes } from 'hono/route'
import createHonoAdapter from './hono-factory.cjs'

export const { sentinel, admin, setTenant, upgrades } = createHonoAdapter(matchedRoutes)
