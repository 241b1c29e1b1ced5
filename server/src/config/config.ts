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
  readonly tls: TlsConfig
  readonly workers: number
  readonly drainSeconds: number
  /** Addresses and networks (CIDR) whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[]
  readonly blobs: BlobsConfig
  readonly db: DbConfig
  readonly log: LogConfig
}

export type TlsConfig =
  /** Certificates per name from the data folder's own authority; on loopback the same port answers plain HTTP too. */
  | { readonly kind: 'local-authority'; readonly folder: string }
  /** PEM files, by absolute path; read again when they change. */
  | { readonly kind: 'files'; readonly certificate: string; readonly key: string }
  /** Plain HTTP only, for a proxy that ends TLS (`--http`). */
  | { readonly kind: 'none' }

export type BlobsConfig = { readonly kind: 'filesystem'; readonly folder: string } | { readonly kind: 'memory' }

export type DbConfig = { readonly kind: 'sqlite'; readonly file: string }

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** `json`: one object a line; `pretty`: for a terminal. */
  readonly format: 'json' | 'pretty'
}
