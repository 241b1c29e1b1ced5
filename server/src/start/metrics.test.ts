import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Exchange } from '../http/server.ts'
import { createMetrics } from './metrics.ts'

const anExchange = (given: Partial<Exchange> = {}): Exchange => ({
  method: 'GET',
  path: '/v2/a/b/blobs/c',
  route: '/v2/{repository}/blobs/{digest}',
  status: 200,
  seconds: 0.01,
  bytesSent: 5,
  ...given,
})

async function seriesOf(name: string, exchanges: readonly Exchange[]): Promise<string[]> {
  const { registry, observe } = createMetrics()
  for (const exchange of exchanges) observe(exchange)
  const text = await registry.metrics()
  return text.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#'))
}

suite('metrics', () => {
  test('count requests, their time and the bytes sent by route', async () => {
    const exchanges = [anExchange(), anExchange({ bytesSent: 0, seconds: 3 })]
    const route = 'route="/v2/{repository}/blobs/{digest}"'
    assert.deepEqual(await seriesOf('berth_http_requests_total', exchanges), [
      `berth_http_requests_total{method="GET",${route},status="200"} 2`,
    ])
    assert.deepEqual(await seriesOf('berth_http_sent_bytes_total', exchanges), [
      `berth_http_sent_bytes_total{${route}} 5`,
    ])
    const [sum, count] = (await seriesOf('berth_http_request_duration_seconds', exchanges)).slice(-2)
    assert.match(sum ?? '', /_sum\{.*\} 3\.01$/)
    assert.match(count ?? '', /_count\{.*\} 2$/)
  })

  test('have as many labels as there are routes, whatever clients ask for', async () => {
    const paths = Array.from({ length: 50 }, (_, i) => anExchange({ path: `/v2/r${i}/tags/list`, route: 'none' }))
    const methods = Array.from({ length: 50 }, (_, i) => anExchange({ method: `BREW${i}`, route: 'none' }))
    assert.deepEqual(await seriesOf('berth_http_requests_total', [...paths, ...methods]), [
      'berth_http_requests_total{method="GET",route="none",status="200"} 50',
      'berth_http_requests_total{method="other",route="none",status="200"} 50',
    ])
  })

  test('tell about the process too, and each process has its own', async () => {
    assert.equal((await seriesOf('process_resident_memory_bytes', [])).length, 1)
    assert.deepEqual(await seriesOf('berth_http_requests_total', []), [])
  })
})
