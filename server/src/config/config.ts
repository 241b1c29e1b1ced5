/** The typed configuration that everything above the composition root never sees whole. */

export interface Config {
  /** The address to listen on; `127.0.0.1` also listens on `::1` where that exists. */
  readonly host: string
  /** 0: any free one, known once the server listens. */
  readonly port: number
  /** The registries' parent domain, without a port: `localhost`, `registry.example.com`. Lower case. */
  readonly domain: string
  /** The port that clients see: the domain's (`--domain registry.example.com:443`), else `port`, also when that is 0. */
  readonly publicPort: number
  /** Absolute path. */
  readonly dataFolder: string
  /** The file of the secret that seals secrets in the database; every node on the same database has the same one. */
  readonly secretKey: string
  readonly tls: TlsConfig
  readonly workers: number
  readonly drainSeconds: number
  /** Addresses and networks (CIDR) whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[]
  readonly blobs: BlobsConfig
  readonly db: DbConfig
  readonly collection: CollectionConfig
  readonly scrub: ScrubConfig
  readonly log: LogConfig
}

export type TlsConfig =
  /** Certificates per name from the data folder's own authority; on loopback the same port answers plain HTTP too. */
  | { readonly kind: 'local-authority'; readonly folder: string }
  /** PEM files, by absolute path; read again when they change. */
  | { readonly kind: 'files'; readonly certificate: string; readonly key: string }
  /** Plain HTTP only, for a proxy that ends TLS (`--http`). */
  | { readonly kind: 'none' }

export type BlobsConfig =
  | { readonly kind: 'filesystem'; readonly folder: string }
  | { readonly kind: 'memory' }
  | S3Config
  | AzureBlobConfig

export interface S3Config {
  readonly kind: 's3'
  readonly bucket: string
  /** What every key begins with: empty, or names that each end with a slash. */
  readonly prefix: string
  /** Undefined: Amazon's own. */
  readonly endpoint: string | undefined
  /** Undefined: from the environment or the SDK's files. */
  readonly region: string | undefined
  /** `https://endpoint/bucket/key` in place of `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean
  /** Whether clients are sent there for downloads. */
  readonly redirects: boolean
}

export interface AzureBlobConfig {
  readonly kind: 'azure-blob'
  readonly account: string
  readonly container: string
  readonly prefix: string
  /** Of the account's blob service; undefined: `https://<account>.blob.core.windows.net`. */
  readonly endpoint: string | undefined
  readonly redirects: boolean
}

export type DbConfig = { readonly kind: 'sqlite'; readonly file: string } | PostgresConfig

export interface PostgresConfig {
  readonly kind: 'postgres'
  /** A name or an address; beginning with a slash, the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password?: string
  /** libpq's file of passwords, by absolute path; it need not exist. */
  readonly passfile?: string
  /** libpq's sslmode. */
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  /** PEM file of the authorities to trust, by absolute path. */
  readonly rootCertificate?: string
}

/** Of garbage, in milliseconds. */
export interface CollectionConfig {
  readonly intervalMs: number | 'off'
  /** How long what has lost its last reference stays. */
  readonly graceMs: number
  /** How long unfinished uploads stay without a sign of life. */
  readonly uploadExpiryMs: number
}

export interface ScrubConfig {
  /** Within so many milliseconds every blob is read once. */
  readonly periodMs: number | 'off'
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** `json`: one object a line; `pretty`: for a terminal. */
  readonly format: 'json' | 'pretty'
}
