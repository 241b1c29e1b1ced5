import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatKinds } from './kinds.ts'

test('docs/fsck.md has the table of everything that a check can find', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../../../docs/fsck.md'), 'utf8')
  assert.ok(text.includes(formatKinds()), `the table must be:\n${formatKinds()}`)
})
