import express = require('express')
import sentinels = require('tenant-sentinel')
import onExpress = require('tenant-sentinel/express')
import onHttp = require('tenant-sentinel/http')

const s = new sentinels.Sentinel({ window: 600 })
s.record('acme', '/', 200, 1)
const tenants: sentinels.TenantRow[] = s.report().tenants
console.log(tenants[0]?.tenantId)
const app = express()
app.use(onExpress.sentinel(s, { tenant: 'x-tenant-id' }))
app.use('/sentinel', onExpress.admin(s, { public: false }))
onHttp.setTenant({}, 'acme')
