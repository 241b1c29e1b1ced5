/** Commands as tests run them: in this process, on a data folder as a first start leaves it. */
import type { TestContext } from 'node:test'
import { format } from 'node:util'
import { loadConfig } from '@berth/server/config/load.ts'
import { type Prepared, prepare } from '@berth/server/start/prepare.ts'
import { main } from '../src/program.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command line. Not for `--help`, which goes past `console.log`. */
export async function run(t: TestContext, args: readonly string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' }
  const mocks = [
    t.mock.method(console, 'log', (...values: unknown[]) => {
      said.stdout += `${format(...values)}\n`
    }),
    t.mock.method(console, 'error', (...values: unknown[]) => {
      said.stderr += `${format(...values)}\n`
    }),
    t.mock.method(process.stderr, 'write', (text: string) => {
      said.stderr += text
      return true
    }),
  ]
  try {
    return { code: await main(args), ...said }
  } finally {
    for (const mock of mocks) mock.mock.restore()
  }
}

/** What a first start makes in an empty folder, without certificates; no server runs on it. */
export async function prepareFolder(data: string): Promise<Prepared> {
  const prepared = await prepare(loadConfig({ flags: { data, http: true, port: '0' }, env: {}, terminal: false }))
  prepared.lock.release()
  return prepared
}
