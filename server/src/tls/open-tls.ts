/** From the configuration to what the listener needs: whose certificates, and what becomes of plain HTTP. */
import { firstRegistry, planeHosts } from '../base/host-names.ts'
import { isLoopback } from '../base/loopback.ts'
import type { Config } from '../config/config.ts'
import type { ListenerSecurity } from '../http/listener.ts'
import { type Authority, openAuthority } from './authority.ts'
import { openCertificateFiles } from './certificate-files.ts'

export async function openTls(config: Pick<Config, 'tls' | 'host' | 'domain'>): Promise<ListenerSecurity> {
  if (config.tls.kind === 'none') return { plain: 'only' }
  // oras and go-containerregistry's tools speak plain HTTP to `localhost`; elsewhere credentials must not travel so.
  const plain = isLoopbackHost(config.host) ? 'also' : 'refuse'
  if (config.tls.kind === 'files') return { plain, tls: await openCertificateFiles(config.tls) }
  return { plain, tls: await openLocalAuthority(config, config.tls.folder) }
}

/** The same authority for every process of one configuration. */
export function openLocalAuthority(
  { host, domain }: Pick<Config, 'host' | 'domain'>,
  folder: string,
): Promise<Authority> {
  const isEverywhere = host === '0.0.0.0' || host === '::'
  // The names that everybody uses stand in the default certificate, so that no worker has to issue them first.
  const usual = [firstRegistry, ...planeHosts].map((name) => `${name}.${domain}`)
  return openAuthority({ folder, domain, extraNames: isEverywhere ? usual : [...usual, host] })
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || isLoopback(host)
}
