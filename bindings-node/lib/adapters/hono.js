import { matchedRoutes } from 'hono/route'
import adapterWith from './hono-with.cjs'

export const { sentinel, admin, setTenant, upgrades } = adapterWith(matchedRoutes)
