/** `bootstrap.json`: all that a user, a script or a test needs to begin. Mode 0600; design §1 has its keys. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { isPlainDomain, withPort } from '../base/addresses.ts'
import { writeWhole } from '../base/write-once.ts'
import type { Founding } from '../core/directory/founding.ts'

/** Where the server is reached and what its clients are told; changes with the flags. */
export interface Addresses {
  readonly scheme: 'http' | 'https'
  readonly domain: string
  /** The port that clients see. */
  readonly port: number
  /** The path of the PEM file that clients must trust; empty where they need none of ours. */
  readonly caCertificate: string
}

const bootstrapSchema = z.object({
  endpoint: z.string(),
  caCertificate: z.string(),
  tenantId: z.string(),
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  clientId: z.string(),
  clientSecret: z.string(),
  registry: z.object({ name: z.string(), loginServer: z.string(), username: z.string(), password: z.string() }),
  cloud: z.object({
    name: z.string(),
    endpoints: z.record(z.string(), z.string()),
    suffixes: z.record(z.string(), z.string()),
  }),
})

export type Bootstrap = z.infer<typeof bootstrapSchema>

export function bootstrapOf(founding: Founding, addresses: Addresses): Bootstrap {
  const { registry, ...identity } = founding
  const { cloud, ...located } = locationOf(addresses, registry.name)
  return { ...located, ...identity, registry: loginTo(registry, addresses), cloud }
}

/**
 * The file's contents, or undefined when there is none (the operator may have put it away: it holds secrets).
 * Throws, naming the file, when it holds anything else.
 */
export async function readBootstrap(file: string): Promise<Bootstrap | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const parsed = bootstrapSchema.safeParse(parseJson(text))
  if (!parsed.success) throw new Error(`${file} is not what the first start wrote; repair it or put it away`)
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // not a word of it: it holds secrets
  }
}

export async function writeBootstrap(file: string, bootstrap: Bootstrap): Promise<void> {
  await writeWhole(file, `${JSON.stringify(bootstrap, null, 2)}\n`)
}

/** The same file after a start under another port or domain, or with a renewed password. */
export function refreshed(bootstrap: Bootstrap, addresses: Addresses, password: string): Bootstrap {
  const registry = { ...bootstrap.registry, password }
  return { ...bootstrap, ...locationOf(addresses, registry.name), registry: loginTo(registry, addresses) }
}

function loginTo({ name, username, password }: Founding['registry'], addresses: Addresses): Bootstrap['registry'] {
  return { name, loginServer: `${name}.${withPort(addresses.domain, addresses.port)}`, username, password }
}

function locationOf(addresses: Addresses, registry: string): Pick<Bootstrap, 'endpoint' | 'caCertificate' | 'cloud'> {
  const host = withPort(addresses.domain, addresses.port)
  // On localhost the plain name answers for every plane, so that nothing depends on the resolver.
  const plane = (name: string) => `${addresses.scheme}://${isPlainDomain(addresses.domain) ? host : `${name}.${host}`}`
  const management = plane('management')
  const endpoint = isPlainDomain(addresses.domain) ? management : `${addresses.scheme}://${registry}.${host}`
  return {
    endpoint,
    caCertificate: addresses.caCertificate,
    cloud: {
      name: 'Berth',
      endpoints: {
        resourceManager: management,
        management,
        activeDirectory: `${plane('login')}/adfs`,
        activeDirectoryResourceId: management,
        microsoftGraphResourceId: management,
        gallery: management,
      },
      suffixes: {
        acrLoginServerEndpoint: `.${host}`,
        storageEndpoint: host,
        keyvaultDns: `.vault.${host}`,
      },
    },
  }
}
