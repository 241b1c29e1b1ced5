import type { Core } from '@berth/server/app.ts'
import type { Usage } from '@berth/server/core/registry/usage.ts'
import { type CommandDeclaration, settingOptions } from '../command.ts'
import { configOfData } from '../config.ts'
import { withCore } from '../core.ts'
import { formatBytes, formatTable } from '../table.ts'

export const usage: CommandDeclaration = {
  name: 'usage',
  summary:
    'Tell how much registries and their repositories hold; blobs that repositories share count once in their registry.',
  options: [
    { flags: '--json', description: 'one JSON object a line: each repository, then its registry' },
    ...settingOptions(['data', 'database', 'secret-key', 'config']),
  ],
  async run(given) {
    const json = given.options.json === true
    await withCore(configOfData(given), async (core) => {
      const rows: string[][] = []
      for (const { name } of await core.registries.listRegistries()) {
        const held: string[][] = []
        for await (const line of linesOf(core, name)) {
          if (json) console.log(JSON.stringify(line))
          else held.push(rowOf(line))
        }
        // The registry, which comes last, heads its repositories.
        rows.push(...held.slice(-1), ...held.slice(0, -1))
      }
      if (!json) console.log(formatTable([['', 'manifests', 'tags', 'bytes'], ...rows], new Set([1, 2, 3])))
    })
    return 0
  },
}

interface Line extends Usage {
  readonly registry: string
  readonly repository?: string
  readonly manifests: number
  readonly tags: number
  /** Of blobs and manifests. */
  readonly bytes: number
}

async function* linesOf({ registry: { usageByRepository, usageOf } }: Core, registry: string): AsyncIterable<Line> {
  let [manifests, tags] = [0, 0]
  for await (const held of usageByRepository(registry)) {
    manifests += held.manifests
    tags += held.tags
    yield { registry, ...held, bytes: held.blobBytes + held.manifestBytes }
  }
  const all = await usageOf({ registry })
  yield { registry, manifests, tags, ...all, bytes: all.blobBytes + all.manifestBytes }
}

const rowOf = ({ registry, repository, manifests, tags, bytes }: Line) => [
  repository === undefined ? registry : `${registry}/${repository}`,
  String(manifests),
  String(tags),
  formatBytes(bytes),
]
