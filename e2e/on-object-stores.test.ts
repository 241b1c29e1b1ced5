/** Route tests run on memory; here those that move bytes run once more on real object stores. */
import { test } from 'node:test'
import { azureSkip, s3Skip } from '../server/test/object-stores.ts'
import { runRouteTests } from './test-run.ts'

const files = ['blobs', 'uploads', 'manifests'].map((name) => `server/src/planes/distribution/${name}.test.ts`)

for (const [name, skip] of [
  ['s3', s3Skip],
  ['azure-blob', azureSkip],
] as const) {
  test(`the route tests of blobs, uploads and manifests pass on ${name} too`, { skip, timeout: 300_000 }, (t) => {
    runRouteTests(t, files, { env: { BLOBS: name }, moreThan: 150 })
  })
}
