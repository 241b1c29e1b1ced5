/**
 * Who Berth is towards Azure Blob Storage: the first that is there, by the names that Azure's own tools use.
 *
 * | Variables | |
 * |---|---|
 * | `AZURE_STORAGE_KEY` | a key of the account |
 * | `AZURE_STORAGE_CONNECTION_STRING` | the `AccountKey` in it |
 * | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` | a service principal |
 * | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE` | workload identity (Kubernetes) |
 * | none, or `AZURE_CLIENT_ID` | the managed identity of the app or the machine |
 *
 * `@azure/identity` knows these ways and more, and is larger than all else that this store needs.
 */
import { readFile } from 'node:fs/promises'
import { networkTrouble, ObjectStoreError, troubleOf } from './object-store.ts'

type Environment = Readonly<Record<string, string | undefined>>

export type AzureCredentials =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'token'; readonly getToken: () => Promise<AccessToken> }

/** As the SDK wants it, which keeps it until shortly before it expires. */
export interface AccessToken {
  readonly token: string
  /** Milliseconds since the epoch. */
  readonly expiresOnTimestamp: number
}

const resource = 'https://storage.azure.com'
const timeoutMs = 8_000

/** Asks nobody yet. */
export function findAzureCredentials(env: Environment): AzureCredentials {
  const key = env.AZURE_STORAGE_KEY || accountKeyIn(env.AZURE_STORAGE_CONNECTION_STRING ?? '')
  if (key) return { kind: 'key', key }
  const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: client } = env
  const { AZURE_CLIENT_SECRET: secret, AZURE_FEDERATED_TOKEN_FILE: tokenFile } = env
  const authority = env.AZURE_AUTHORITY_HOST || 'https://login.microsoftonline.com'
  if (tenant && client && (secret || tokenFile)) {
    const address = new URL(`${tenant}/oauth2/v2.0/token`, `${authority.replace(/\/+$/, '')}/`)
    const proof = async () => (secret ? { client_secret: secret } : assertion(await readToken(tokenFile ?? '')))
    return { kind: 'token', getToken: async () => askAuthority(address, client, await proof()) }
  }
  return { kind: 'token', getToken: () => askIdentityService(env) }
}

async function readToken(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new ObjectStoreError('denied', `cannot read ${file} (${(error as NodeJS.ErrnoException).code})`)
  }
}

const accountKeyIn = (connection: string) => /(?:^|;)AccountKey=([^;]+)/i.exec(connection)?.[1]

const assertion = (token: string) => ({
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: token.trim(),
})

/** OAuth 2.0 client credentials: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow */
function askAuthority(address: URL, client: string, proof: Record<string, string>): Promise<AccessToken> {
  const form = { grant_type: 'client_credentials', client_id: client, scope: `${resource}/.default`, ...proof }
  return ask(address, { method: 'POST', body: new URLSearchParams(form) })
}

/** https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and App Service's. */
function askIdentityService(env: Environment): Promise<AccessToken> {
  const { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: header, AZURE_CLIENT_ID: client } = env
  const machine = `${env.AZURE_POD_IDENTITY_AUTHORITY_HOST || 'http://169.254.169.254'}/metadata/identity/oauth2/token`
  const ofApp = endpoint !== undefined && header !== undefined
  const address = new URL(ofApp ? endpoint : machine)
  address.searchParams.set('api-version', ofApp ? '2019-08-01' : '2018-02-01')
  address.searchParams.set('resource', `${resource}/`)
  if (client) address.searchParams.set('client_id', client)
  return ask(address, { headers: ofApp ? { 'x-identity-header': header } : { metadata: 'true' } })
}

async function ask(address: URL, init: RequestInit): Promise<AccessToken> {
  const where = `access token from ${address.host}`
  let response: Response
  let text: string
  try {
    response = await fetch(address, { ...init, signal: AbortSignal.timeout(timeoutMs) })
    text = await response.text()
  } catch (error) {
    throw new ObjectStoreError('unreachable', `${where}: ${networkTrouble(error) ?? (error as Error).message}`)
  }
  const answer = parse(text)
  if (response.status === 200 && typeof answer.access_token === 'string') {
    const { access_token: token, expires_in: seconds, expires_on: at } = answer
    return {
      token,
      expiresOnTimestamp: at === undefined ? Date.now() + Number(seconds ?? 0) * 1_000 : Number(at) * 1_000,
    }
  }
  const trouble = troubleOf(response.status) === 'unreachable' ? 'unreachable' : 'denied'
  throw new ObjectStoreError(trouble, `${where}: ${response.status} ${String(answer.error ?? '')}`.trim())
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {} // a proxy's page, say; the status tells
  }
}
