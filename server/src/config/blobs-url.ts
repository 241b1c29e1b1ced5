/**
 * Where blobs are kept, when not in a folder: `s3://bucket/prefix?endpoint=…&region=…&path-style=yes` or
 * `azure-blob://account/container/prefix?endpoint=…`. Credentials have no place in it: the environment, files and the
 * machine's identity have them.
 */
import type { AzureBlobConfig, S3Config } from './config.ts'

export type ObjectStoreConfig = Omit<S3Config, 'redirects'> | Omit<AzureBlobConfig, 'redirects'>

const s3Form = 's3://bucket/prefix'
const azureForm = 'azure-blob://account/container/prefix'

const name = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const known = { s3: ['endpoint', 'region', 'path-style'], 'azure-blob': ['endpoint'] } as const

/** Returns a mistake as a sentence that follows the setting's name. */
export function parseBlobsUrl(text: string): ObjectStoreConfig | string {
  const kind = /^(s3|azure-blob):\/\//.exec(text)?.[1] as keyof typeof known | undefined
  if (kind === undefined || !URL.canParse(text)) return `must be a URL like ${s3Form} or ${azureForm}`
  const { hostname, port, pathname, searchParams: parameters, username, password, hash } = new URL(text)
  if (username !== '' || password !== '') {
    return "must hold no credentials: they come from the environment, files or the machine's identity"
  }
  const stranger = [...parameters.keys()].find((key) => !(known[kind] as readonly string[]).includes(key))
  if (stranger !== undefined) {
    return `has the parameter ${JSON.stringify(stranger)}, which is not known; known are ${known[kind].join(', ')}`
  }
  const names = pathname.split('/').filter((part) => part !== '')
  if (port !== '' || hash !== '' || !names.every((part) => name.test(part))) {
    return `must be a URL like ${kind === 's3' ? s3Form : azureForm}, with names of letters, digits, ".", "_" and "-"`
  }
  const endpoint = parameters.get('endpoint') ?? undefined
  if (endpoint !== undefined && !isEndpoint(endpoint)) return 'must have an endpoint like https://storage.example.com'
  return kind === 's3' ? s3Of(hostname, names, endpoint, parameters) : azureOf(hostname, names, endpoint)
}

function s3Of(
  bucket: string,
  names: readonly string[],
  endpoint: string | undefined,
  parameters: URLSearchParams,
): ObjectStoreConfig | string {
  const region = parameters.get('region') ?? undefined
  const pathStyle = parameters.get('path-style') ?? (endpoint === undefined ? 'no' : 'yes')
  if (!name.test(bucket)) return `must name a bucket: ${s3Form}`
  if (region !== undefined && !/^[a-z0-9-]+$/.test(region)) return 'must have a region like eu-central-1'
  if (pathStyle !== 'yes' && pathStyle !== 'no') return 'must have yes or no as its path-style'
  return { kind: 's3', bucket, prefix: prefixOf(names), endpoint, region, pathStyle: pathStyle === 'yes' }
}

function azureOf(
  account: string,
  [container, ...names]: readonly string[],
  endpoint: string | undefined,
): ObjectStoreConfig | string {
  if (!/^[a-z0-9]{3,24}$/.test(account)) return `must name a storage account: ${azureForm}`
  if (container === undefined || !/^(?=.{3,63}$)[a-z0-9](?:-?[a-z0-9])*$/.test(container)) {
    return `must name a container: ${azureForm}`
  }
  return { kind: 'azure-blob', account, container, prefix: prefixOf(names), endpoint }
}

const prefixOf = (names: readonly string[]) => names.map((part) => `${part}/`).join('')

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return ['http:', 'https:'].includes(protocol) && [username, password, search, hash].every((part) => part === '')
}

/** The inverse of `parseBlobsUrl`: for messages, and to be kept. */
export function formatBlobsUrl(config: ObjectStoreConfig): string {
  const { prefix, endpoint } = config
  const where = config.kind === 's3' ? `s3://${config.bucket}/` : `azure-blob://${config.account}/${config.container}/`
  const query = new URLSearchParams(endpoint === undefined ? {} : { endpoint })
  if (config.kind === 's3') {
    if (config.region !== undefined) query.set('region', config.region)
    if (config.pathStyle !== (endpoint !== undefined)) query.set('path-style', config.pathStyle ? 'yes' : 'no')
  }
  return `${where}${prefix}`.replace(/\/$/, '') + (query.size > 0 ? `?${query}` : '')
}
