/** Prometheus metrics of one process, and of all of them together. */
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { Exchange } from '../http/server.ts'

export interface Metrics {
  readonly registry: Registry
  observe(exchange: Exchange): void
}

interface Series {
  readonly requests: Counter.Internal
  readonly seconds: Histogram.Internal<'method' | 'route'>
  readonly sent: Counter.Internal
}

/** Labels are bounded: methods outside the common ones count as `other`, routes are patterns, never paths. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Counter({
    name: 'berth_http_requests_total',
    help: 'Requests answered, by method, route and status.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'berth_http_request_duration_seconds',
    help: "Time from the request's head to the end of its answer, by method and route.",
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers: [registry],
  })
  const sent = new Counter({
    name: 'berth_http_sent_bytes_total',
    help: 'Bytes of response bodies, by route.',
    labelNames: ['route'],
    registers: [registry],
  })
  /** By method, route and status: to find a series by its labels costs more than to count. */
  const known = new Map<string, Series>()

  function seriesOf(method: string, route: string, status: number): Series {
    const key = `${method} ${status} ${route}`
    let series = known.get(key)
    if (series === undefined) {
      series = {
        requests: requests.labels(method, route, String(status)),
        seconds: seconds.labels(method, route),
        sent: sent.labels(route),
      }
      known.set(key, series)
    }
    return series
  }

  return {
    registry,
    observe({ method, route, status, seconds: elapsed, bytesSent }) {
      const series = seriesOf(methods.has(method) ? method : 'other', route, status)
      series.requests.inc()
      series.seconds.observe(elapsed)
      if (bytesSent > 0) series.sent.inc(bytesSent)
    },
  }
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
