/** How the names that clients use are put together from the domain and the port that they see. */

/** `host:port`, without the port where it is HTTPS's own. */
export const withPort = (host: string, port: number): string => (port === 443 ? host : `${host}:${port}`)

/**
 * Whether the domain's plain name answers for every plane and for the first registry. Only `localhost` does: everybody's
 * resolver and every client knows it, where names below it need help.
 */
export const isPlainDomain = (domain: string): boolean => domain === 'localhost'
