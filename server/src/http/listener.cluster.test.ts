/** This file is its own worker: the primary runs the test, its workers serve. */
import assert from 'node:assert/strict'
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { createListener } from './listener.ts'

if (cluster.isWorker) {
  const listener = createListener({ plain: 'only', handler: (_request, response) => response.end(String(process.pid)) })
  process.on('message', async () => {
    const cut = await listener.drain(5_000)
    process.send?.({ cut })
    cluster.worker?.disconnect()
  })
  process.send?.(await listener.listen('127.0.0.1', Number(process.argv[2])))
} else {
  test('workers of node:cluster share the port, and one may drain while the other serves', async (t) => {
    cluster.setupPrimary({ exec: import.meta.filename, args: ['0'], execArgv: [] })
    const workers = [cluster.fork(), cluster.fork()] as const
    t.after(() => {
      for (const worker of workers) worker.process.kill('SIGKILL')
    })
    const [first, second] = (await Promise.all(workers.map(listening))) as [number, number]
    assert.equal(first, second)

    const everybody = new Set(workers.map((worker) => String(worker.process.pid)))
    const seen = new Set<string>()
    for (let i = 0; i < 100 && seen.size < 2; i++) seen.add(await askedAnew(first))
    assert.deepEqual(seen, everybody)

    const leaving = workers[0]
    leaving.send('drain')
    const [{ cut }] = (await once(leaving, 'message')) as [{ cut: number }]
    assert.equal(cut, 0)
    await once(leaving, 'exit')
    for (let i = 0; i < 10; i++) assert.equal(await askedAnew(first), String(workers[1].process.pid))
  })
}

async function listening(worker: Worker): Promise<number> {
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }]
  return port
}

/** Over a connection of its own. */
async function askedAnew(port: number): Promise<string> {
  const [response] = (await once(get({ port, host: '127.0.0.1', agent: new Agent() }), 'response')) as [IncomingMessage]
  return (await response.toArray()).join('')
}
