/** What Berth alone does: tokens, TLS, and pulls by anybody. The peers run with auth off and without TLS. */
import type { Case } from '../case.ts'
import { isBerth } from '../peers/berth.ts'
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
    requestCase({
      name: 'token/basic',
      title: 'token endpoint, password to access token',
      needs: ['small'],
      berthAlone: 'run with auth off',
      access: { password: true },
      paths: () => [`/oauth2/token?service=127.0.0.1&scope=repository:${repositories.small}:pull`],
      check(body) {
        const { access_token: token } = JSON.parse(body.toString('utf8')) as { access_token?: string }
        if (token?.split('.').length !== 3) throw new Error('the answer has no access token')
      },
      counted: { what: 'tokens', requestsEach: () => 1 },
    }),
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
