import { test } from 'node:test'
import { catalog } from './clients/catalog.ts'
import { client } from './clients/index.ts'

// So that the output says by name which clients the stories were told with, and which are missing and why.
for (const { name } of catalog) {
  const { path, version, skip } = client(name)
  test(`client ${name} › ${skip === false ? `${version} is here (${path})`.trim() : 'is here'}`, { skip }, () => {})
}
