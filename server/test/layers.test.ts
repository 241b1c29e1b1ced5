/** Which way imports point (style.md §1, §2). A new arrow is an edit of `layers`, for a reviewer to question. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')

/**
 * Folder or file, and what it may import besides itself and packages from outside. The longest matching name decides, for
 * importer and imported alike, so `server/src/core/access` is a layer of its own beside `server/src/core`.
 */
const layers: Readonly<Record<string, readonly string[]>> = {
  'oci/src': [],
  'server/src/base': ['oci/src'],
  'server/src/config': ['server/src/base'],
  'server/src/tls': ['server/src/base'],
  // From the configuration to what a listener wants (a type).
  'server/src/tls/open-tls.ts': ['server/src/base', 'server/src/config', 'server/src/http', 'server/src/tls'],
  'server/src/backends': ['oci/src', 'server/src/base'],
  'server/src/backends/blobs': ['oci/src', 'server/src/base', 'server/src/backends'],
  'server/src/backends/db': ['oci/src', 'server/src/base', 'server/src/backends'],
  // From the configuration to the back ends that it names.
  'server/src/backends/open.ts': [
    'server/src/base',
    'server/src/config',
    'server/src/backends/blobs',
    'server/src/backends/db',
  ],
  'server/src/http': ['oci/src', 'server/src/base'],
  'server/src/core/directory': ['oci/src', 'server/src/base', 'server/src/backends/blobs', 'server/src/backends/db'],
  'server/src/core/access': [
    'oci/src',
    'server/src/base',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/core/directory',
  ],
  'server/src/core/registry': [
    'oci/src',
    'server/src/base',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/core/directory',
    'server/src/core/access',
  ],
  'server/src/core/jobs': [
    'server/src/base',
    'server/src/backends/db',
    'server/src/core/access',
    'server/src/core/registry',
  ],
  'server/src/core/migration': [
    'oci/src',
    'server/src/base',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/core/registry',
  ],
  'server/src/planes/distribution': planeMayImport(),
  'server/src/planes/operator': planeMayImport(),
  'server/src/planes/token': planeMayImport(),
  // Composition: the whole server, and its parts behind an address.
  'server/src/app.ts': [
    'oci/src',
    'server/src/base',
    'server/src/config',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/backends/open.ts',
    'server/src/http',
    'server/src/core/directory',
    'server/src/core/access',
    'server/src/core/registry',
    'server/src/planes/distribution',
    'server/src/planes/operator',
    'server/src/planes/token',
  ],
  'server/src/start': [
    'oci/src',
    'server/src/app.ts',
    'server/src/base',
    'server/src/config',
    'server/src/tls',
    'server/src/tls/open-tls.ts',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/backends/open.ts',
    'server/src/http',
    'server/src/core/directory',
    'server/src/core/access',
    'server/src/core/registry',
    'server/src/core/jobs',
    'server/src/core/migration',
  ],
  'server/src/backup': [
    'oci/src',
    'server/src/base',
    'server/src/config',
    'server/src/backends/blobs',
    'server/src/backends/db',
    'server/src/backends/open.ts',
    'server/src/start', // the lock of a folder
  ],
  'server/src/main.ts': [
    'server/src/app.ts',
    'server/src/base',
    'server/src/config',
    'server/src/http', // what the command line must tell apart when starting fails
    'server/src/start',
  ],
  'cli/src': [
    'oci/src',
    'server/src/app.ts',
    'server/src/base',
    'server/src/config',
    'server/src/core/directory', // types of what `createCore` hands out
    'server/src/core/migration', // types of what moving tells
    'server/src/core/registry', // likewise
    'server/src/backup',
    'server/src/main.ts',
    'server/src/start',
  ],
}

/** Everybody above the back ends sees their interfaces; the ones behind them are named where they are opened only. */
const concreteBackEnds = [
  'server/src/backends/blobs/filesystem.ts',
  'server/src/backends/blobs/memory.ts',
  'server/src/backends/blobs/s3.ts',
  'server/src/backends/blobs/azure-blob.ts',
  'server/src/backends/db/postgres.ts',
  'server/src/backends/db/sqlite.ts',
]
const opensBackEnds = 'server/src/backends/open.ts'

function planeMayImport(): readonly string[] {
  return [
    'oci/src',
    'server/src/base',
    'server/src/http',
    'server/src/core/directory',
    'server/src/core/access',
    'server/src/core/registry',
  ]
}

const packages: Readonly<Record<string, string>> = { '@berth/oci': 'oci/src', '@berth/server': 'server/src' }

/** Sources by their path from the root; tests and contracts may import whatever they need. */
const files = globSync('{oci,server,cli}/src/**/*.ts', { cwd: root })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => !/\.(test|contract)\.ts$/.test(file))
  .sort()

/** `from '…'`, `import '…'`, `import('…')` and `new URL('./….ts', import.meta.url)`, types included. */
const importPattern =
  /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])([^'"\n]+)\1|new URL\(\s*(['"])(\.[^'"\n]+\.ts)\3\s*,\s*import\.meta\.url/g

/** Our own files that a source names, by their path from the root. */
function importsOf(text: string, file: string): string[] {
  return Array.from(text.matchAll(importPattern), (found) => found[2] ?? found[4] ?? '')
    .map((specifier) => fileOf(specifier, file))
    .filter((imported) => imported !== undefined)
}

function fileOf(specifier: string, importer: string): string | undefined {
  if (specifier.startsWith('.')) {
    return relative(root, join(root, dirname(importer), specifier)).replaceAll('\\', '/')
  }
  const [scope, name, ...rest] = specifier.split('/')
  const folder = packages[`${scope}/${name}`]
  return folder && `${folder}/${rest.length === 0 ? 'index.ts' : rest.join('/')}`
}

const graph = new Map(files.map((file) => [file, importsOf(readFileSync(join(root, file), 'utf8'), file)]))

function layerOf(file: string): string | undefined {
  return Object.keys(layers)
    .filter((layer) => file === layer || file.startsWith(`${layer}/`))
    .sort((a, b) => b.length - a.length)[0]
}

function cyclesIn(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const at = path.indexOf(file)
    if (at >= 0) cycles.push([...path.slice(at), file].join(' → '))
    if (at >= 0 || done.has(file)) return
    path.push(file)
    for (const imported of imports.get(file) ?? []) visit(imported)
    path.pop()
    done.add(file)
  }
  for (const file of imports.keys()) visit(file)
  return cycles
}

describe('imports', () => {
  test('are found in every form', () => {
    const text = `
      import { a } from './a.ts'
      import type { B } from "../b.ts"
      export * from './c.ts'
      import './d.ts'
      const e = await import('./e.ts')
      type F = import('./f.ts').F
      import {
        g,
      } from '@berth/oci'
      import { h } from '@berth/server/base/h.ts'
      new Worker(new URL('./i.ts', import.meta.url))
      import { join } from 'node:path'`
    assert.deepEqual(importsOf(text, 'cli/src/x/y.ts'), [
      'cli/src/x/a.ts',
      'cli/src/b.ts',
      'cli/src/x/c.ts',
      'cli/src/x/d.ts',
      'cli/src/x/e.ts',
      'cli/src/x/f.ts',
      'oci/src/index.ts',
      'server/src/base/h.ts',
      'cli/src/x/i.ts',
    ])
  })

  test('the sources are found, and each belongs to a layer', () => {
    assert.ok(files.length > 80, `${files.length} sources`)
    assert.deepEqual(
      files.filter((file) => layerOf(file) === undefined),
      [],
    )
  })

  test('the table names only what there is', () => {
    const named = new Set([...Object.keys(layers), ...Object.values(layers).flat()])
    assert.deepEqual(
      [...named].filter((layer) => !files.some((file) => file === layer || file.startsWith(`${layer}/`))),
      [],
    )
  })

  test('lead to files that exist and are no tests', () => {
    const wrong = [...graph].flatMap(([file, imports]) =>
      imports.filter((imported) => !graph.has(imported) && !imported.endsWith('.json')).map((to) => `${file} → ${to}`),
    )
    assert.deepEqual(wrong, [])
  })

  test('point the way that the table says', () => {
    const wrong: string[] = []
    for (const [file, imports] of graph) {
      const own = layerOf(file) ?? ''
      for (const imported of imports) {
        const layer = layerOf(imported) ?? ''
        if (layer !== own && !layers[own]?.includes(layer)) wrong.push(`${file} → ${imported}`)
      }
    }
    assert.deepEqual(wrong, [])
  })

  test('name a concrete back end where the configuration is turned into one, and nowhere else', () => {
    const wrong = [...graph]
      .filter(([file]) => file !== opensBackEnds)
      .flatMap(([file, imports]) =>
        imports.filter((imported) => concreteBackEnds.includes(imported)).map((to) => `${file} → ${to}`),
      )
    assert.deepEqual(wrong, [])
    for (const file of concreteBackEnds) assert.ok(graph.has(file), file)
  })

  test('a cycle would be seen', () => {
    const imports = new Map([
      ['a', ['b', 'c']],
      ['b', []],
      ['c', ['d']],
      ['d', ['a', 'b']],
    ])
    assert.deepEqual(cyclesIn(imports), ['a → c → d → a'])
  })

  test('form no cycles, types included', () => {
    assert.deepEqual(cyclesIn(graph), [])
  })
})

describe('core', () => {
  test('knows no HTTP: it imports neither our http nor a module of Node that speaks it', () => {
    const wrong = files
      .filter((file) => file.startsWith('server/src/core/') || file.startsWith('server/src/backends/'))
      .filter((file) => /['"](?:node:)?(?:http|https|http2|net|tls)['"]/.test(readFileSync(join(root, file), 'utf8')))
    assert.deepEqual(wrong, [])
  })
})
