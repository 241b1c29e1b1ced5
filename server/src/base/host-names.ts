/** Names below the domain that are known from the start. */

/** The registry that the first start makes; on `localhost` the plain name stands for it too. */
export const firstRegistry = 'berth'

/** Planes with a host of their own; no registry can be called so. */
export const planeHosts = ['login', 'management', 'portal'] as const
