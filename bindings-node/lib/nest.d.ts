export * from './nest.cjs'
