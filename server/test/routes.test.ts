/** What holds for every route of the server, and for the page that lists them. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, test } from 'node:test'
import type { Access, Door } from '../src/core/access/access.ts'
import type { Registry } from '../src/core/registry/registry.ts'
import type { Plane } from '../src/http/plane.ts'
import { nobody } from '../src/http/route.ts'
import { createRouter } from '../src/http/router.ts'
import { distributionPlane } from '../src/planes/distribution/index.ts'
import { operatorPlane } from '../src/planes/operator/index.ts'
import { tokenPlane } from '../src/planes/token/index.ts'

const parts = {
  troubles: async () => ({}),
  metrics: async () => ({ contentType: '', text: '' }),
  mayReadMetrics: () => false,
}

/** Nothing is handled here, so the parts behind the routes may be missing. */
const planes: readonly Plane[] = [
  distributionPlane({} as Registry, {}),
  tokenPlane({} as Access, () => ({}) as Door, {}),
  operatorPlane(parts, {}),
]
const routes = planes.flatMap((plane) => plane.routes.map((route) => ({ plane, route })))

/** Without a credential, each for its own reason. */
const open = new Set([
  'GET /oauth2/token',
  'POST /oauth2/token',
  'GET /healthz',
  'HEAD /healthz',
  'GET /readyz',
  'HEAD /readyz',
  'GET /metrics',
])

const linesOf = ({ methods, path }: { methods: readonly string[]; path: string }) =>
  methods.map((method) => `${method} ${path}`)

const page = resolve(import.meta.dirname, '../../docs/compatibility.md')

interface Row {
  readonly lines: readonly string[]
  readonly cells: readonly string[]
}

/** Table rows whose first cell holds methods and whose second a path in backticks. */
function rowsOf(markdown: string): Row[] {
  return markdown.split('\n').flatMap((line) => {
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim())
    const methods = cells[0]?.match(/\b(GET|HEAD|POST|PUT|PATCH|DELETE)\b/g)
    const paths = Array.from(cells[1]?.matchAll(/`(\/[^`]*)`/g) ?? [], ([, path = '']) => path)
    if (!line.startsWith('|') || !methods || paths.length === 0) return []
    return [{ cells, lines: paths.flatMap((path) => linesOf({ methods, path })) }]
  })
}

describe('routes', () => {
  test('there are some of every plane', () => {
    for (const plane of planes) assert.ok(plane.routes.length >= 2, plane.name)
  })

  for (const { plane, route } of routes) {
    describe(`${route.methods.join(', ')} ${route.path}`, () => {
      test('states the section that defines it', () => {
        assert.match(route.spec, /^\S.{10,}$/)
      })

      test('states what the caller needs', () => {
        assert.ok(route.needs === nobody || typeof route.needs === 'function')
        for (const line of linesOf(route)) assert.equal(route.needs === nobody, open.has(line), line)
      })

      test('begins with a prefix of its plane', () => {
        assert.ok(plane.prefixes.some((prefix) => route.path.startsWith(prefix)))
      })

      test('answers to its own path', () => {
        const digest = `sha256:${'0'.repeat(64)}`
        const values: Record<string, string> = { repository: 'a/b', digest, reference: 'v1', session: 'x' }
        const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
        const router = createRouter(plane.routes)
        for (const method of route.methods) assert.equal(router.find(method, path)?.route.path, route.path)
      })
    })
  }

  test('no method of a path is declared twice', () => {
    const lines = routes.flatMap(({ route }) => linesOf(route))
    assert.deepEqual(
      lines.filter((line, index) => lines.indexOf(line) !== index),
      [],
    )
  })

  test('no two planes share a prefix', () => {
    const prefixes = planes.flatMap((plane) => plane.prefixes.map((prefix) => ({ plane: plane.name, prefix })))
    for (const one of prefixes) {
      for (const other of prefixes) {
        if (one.plane !== other.plane) assert.ok(!one.prefix.startsWith(other.prefix), `${one.prefix} ${other.prefix}`)
      }
    }
  })
})

describe('docs/compatibility.md', { skip: existsSync(page) ? false : 'the page is not written yet' }, () => {
  const rows = existsSync(page) ? rowsOf(readFileSync(page, 'utf8')) : []
  const served = new Set(routes.flatMap(({ route }) => linesOf(route)))

  test('lists every route', () => {
    const listed = new Set(rows.flatMap(({ lines }) => lines))
    assert.deepEqual(
      [...served].filter((line) => !listed.has(line)),
      [],
    )
  })

  test('promises no route that is not there', () => {
    const promised = rows.filter(({ cells }) => cells[2] === 'yes').flatMap(({ lines }) => lines)
    assert.ok(promised.length > 0)
    assert.deepEqual(
      promised.filter((line) => !served.has(line)),
      [],
    )
  })
})

test('rows of the page are read as they are written', () => {
  const markdown = [
    '| Methods | Path | Served |',
    '|---|---|---|',
    '| GET, HEAD | `/v2/` | yes |',
    '| `POST` | `/a`, `/a/` | no, later |',
    '| – | `/x` | yes |',
    'GET `/y`',
  ].join('\n')
  assert.deepEqual(
    rowsOf(markdown).map(({ lines, cells }) => [lines, cells.at(-1)]),
    [
      [['GET /v2/', 'HEAD /v2/'], 'yes'],
      [['POST /a', 'POST /a/'], 'no, later'],
    ],
  )
})
