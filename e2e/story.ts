/** Stories told with real clients: a file's stories share one registry, and each has a fresh home. */
import { after, before, type TestContext, test } from 'node:test'
import { type Berth, type StartOptions, startBerth } from './berth.ts'
import { type Client, skipUnless } from './clients/index.ts'
import { freshHome, type Home } from './run.ts'

export interface Stage<E = undefined> {
  readonly berth: Berth
  readonly home: Home
  /** What `StoriesOptions.engine` started. */
  readonly engine: E
  /** For what the output should show of a passing story. */
  readonly t: TestContext
}

export interface StoriesOptions<E> extends StartOptions {
  /** Why none of them can be told here, beyond a missing client. */
  readonly skip?: string | false
  /** Starts what the clients need besides the registry, once for all stories of the file. */
  readonly engine?: () => Promise<E>
}

export interface StoryOptions {
  /** Clients that only this story needs. */
  readonly needs?: readonly Client[]
  readonly timeoutSeconds?: number
}

export type Story<E> = (title: string, tell: (stage: Stage<E>) => Promise<void>, options?: StoryOptions) => void

/** Declares stories that need these clients; without one of them each is skipped with the reason. */
export function storiesWith<E extends AsyncDisposable | undefined = undefined>(
  needed: readonly Client[],
  { skip: ownSkip = false, engine: startEngine, ...start }: StoriesOptions<E> = {},
): Story<E> {
  const skip = skipUnless(...needed) || ownSkip
  const started = new AsyncDisposableStack()
  let berth: Berth
  let engine: E
  before(async () => {
    if (skip !== false) return
    berth = started.use(await startBerth(start))
    if (startEngine) engine = started.use(await startEngine())
  })
  after(() => started.disposeAsync())
  return (title, tell, { needs = [], timeoutSeconds = 180 } = {}) => {
    void test(title, { skip: skip || skipUnless(...needs), timeout: timeoutSeconds * 1000 }, async (t) => {
      await using home = await freshHome({ secrets: [berth.password, berth.bootstrap.clientSecret].filter(Boolean) })
      try {
        await tell({ berth, home, engine, t })
      } catch (error) {
        t.diagnostic(`the server wrote last:\n${berth.log.slice(-4000)}`)
        throw error
      }
    })
  }
}
