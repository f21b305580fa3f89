import 'reflect-metadata'
import { Controller, Get, HttpException, Module, Param, ParseIntPipe, Post, Redirect, Req, Res, UseGuards } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { pipeline } from 'node:stream'
import { admin, sentinel, setTenant } from 'tenant-sentinel/nest'
import { breaking, chunks } from '../support/bodies.js'

// Decorators, as a compiler would call them.
const on = (target, name, decorators, parameters = []) => {
  parameters.forEach((decorator, index) => decorator(target.prototype, name, index))
  for (const decorator of decorators) decorator(target.prototype, name, Object.getOwnPropertyDescriptor(target.prototype, name))
}

const raw = (res) => res.raw ?? res
const sent = (res, body, type) => {
  res.hijack?.()
  if (type) raw(res).setHeader('content-type', type)
  pipeline(body, raw(res), () => {})
}

class Guarded {
  canActivate(context) {
    const request = context.switchToHttp().getRequest()
    request.user = request.headers['x-user']
    if (request.headers['x-early']) throw new HttpException('early', Number(request.headers['x-early']))
    return true
  }
}

class Things {
  ok = () => 'ok'
  thing() {
    throw new HttpException('no such thing', 404)
  }
  post = () => 'posted'
  moved() {}
  number = () => 'ok'
  fails() {
    throw new Error('a bug in the handler')
  }
  async handled() {
    throw new HttpException('no database', 503)
  }
  slow = () => new Promise(() => {})
  stream(res) {
    sent(res, chunks(300))
  }
  endless(res) {
    sent(res, chunks(30_000))
  }
  breaks(res) {
    sent(res, breaking())
  }
  events(res) {
    sent(res, chunks(30_000), 'text/event-stream')
  }
  set(req) {
    setTenant(req, 'acme')
    return 'ok'
  }
  health = () => 'healthy'
}
for (const name of ['ok', 'post', 'number', 'slow', 'health']) Things.prototype[name] = new Things()[name]
on(Things, 'ok', [Get('ok')])
on(Things, 'thing', [Get('things/:id')])
on(Things, 'post', [Post('post')])
on(Things, 'moved', [Get('moved'), Redirect('/ok', 307)])
on(Things, 'number', [Get('numbers/:number')], [Param('number', ParseIntPipe)])
on(Things, 'fails', [Get('fails')])
on(Things, 'handled', [Get('handled')])
on(Things, 'slow', [Get('slow')])
on(Things, 'stream', [Get('stream')], [Res()])
on(Things, 'endless', [Get('endless')], [Res()])
on(Things, 'breaks', [Get('breaks')], [Res()])
on(Things, 'events', [Get('events')], [Res()])
on(Things, 'set', [Get('set')], [Req()])
on(Things, 'health', [Get('health')])
Controller()(Things)
UseGuards(Guarded)(Things)

class Users {
  user() {
    return 'user'
  }
}
on(Users, 'user', [Get('users/:id')])
Controller('api/:version')(Users)

class App {}
Module({ controllers: [Things, Users] })(App)

export const nest = (platform) => ({
  async serve(s, options, view) {
    const app = await NestFactory.create(App, platform === 'fastify' ? new FastifyAdapter() : undefined, { logger: false })
    sentinel(app, s, options)
    admin(app, s, view)
    await app.init()
    if (platform === 'fastify') await app.getHttpAdapter().getInstance().ready()
    return app.getHttpServer()
  },
  templates: {},
  early: '/things/:id',
  post: 201
})
