/** What Berth alone does: tokens, TLS, and pulls by anybody. The peers run with auth off and without TLS. */
import type { Case } from '../case.ts'
import { perSecond } from '../case.ts'
import { createWire, expectStatus } from '../load/wire.ts'
import { runWrk } from '../load/wrk.ts'
import { basicOf, isBerth } from '../peers/berth.ts'
import type { Access } from '../peers/registry.ts'
import { repositories } from '../seed/data-sets.ts'
import { type LiveData, smallTag } from '../seed/live.ts'
import { requestCase } from './requests.ts'

const small = `/v2/${repositories.small}/manifests/${smallTag}`

export function accessCases(data: LiveData): Case[] {
  const blob = (size: 'kilobyte' | 'tenMegabytes') => `/v2/${repositories.blobs}/blobs/${data[size].digest}`
  const tls = { tls: true, berthAlone: 'run without TLS' } as const
  const smallAccess: Access = { repositories: [repositories.small] }
  const blobAccess: Access = { repositories: [repositories.blobs] }
  return [
    {
      name: 'token/basic',
      title: 'token endpoint, password to access token',
      unit: perSecond('tokens'),
      needs: ['small'],
      berthAlone: 'run with auth off',
      async check(registry) {
        if (!isBerth(registry)) return
        const wire = createWire(registry.url, basicOf(registry.credentials!))
        const answer = expectStatus(await wire.ask('GET', tokenPath), 200, 'the token endpoint')
        wire.close()
        if (!answer.body.includes('access_token')) throw new Error('the token endpoint answers without a token')
      },
      async measure(registry, { seconds }) {
        const headers = { Authorization: basicOf(registry.credentials!) }
        const {
          requests,
          seconds: took,
          p50,
          p99,
        } = await runWrk({ url: registry.url, paths: [tokenPath], headers, seconds })
        return { value: requests / took, p50, p99 }
      },
    },
    requestCase({
      ...tls,
      name: 'tls/manifest/tag/small',
      title: 'TLS: manifest by tag, small repository',
      needs: ['small'],
      access: smallAccess,
      paths: () => [small],
    }),
    requestCase({
      ...tls,
      name: 'tls/blob/1KB',
      title: 'TLS: blob of 1 KB',
      needs: ['blobs'],
      access: blobAccess,
      paths: () => [blob('kilobyte')],
    }),
    requestCase({
      ...tls,
      name: 'tls/blob/10MB',
      title: 'TLS: blob of 10 MB',
      needs: ['blobs'],
      unit: 'megabytes',
      access: blobAccess,
      paths: () => [blob('tenMegabytes')],
    }),
    anonymous({
      name: 'anonymous/manifest/tag/small',
      title: "anybody's token: manifest by tag, small repository",
      needs: ['small'],
      access: smallAccess,
      paths: () => [small],
    }),
    anonymous({
      name: 'anonymous/blob/1KB',
      title: "anybody's token: blob of 1 KB",
      needs: ['blobs'],
      access: blobAccess,
      paths: () => [blob('kilobyte')],
    }),
  ]
}

const tokenPath = `/oauth2/token?service=127.0.0.1&scope=repository:${repositories.small}:pull`

/** The registry lets anybody pull from the first of these on: they come after all others. */
function anonymous(declaration: Parameters<typeof requestCase>[0]): Case {
  const made = requestCase({
    ...declaration,
    access: { ...declaration.access, anonymous: true },
    berthAlone: 'run with auth off',
  })
  return {
    ...made,
    async check(registry, folder) {
      if (isBerth(registry)) await registry.allowAnonymousPull()
      await made.check?.(registry, folder)
    },
  }
}
