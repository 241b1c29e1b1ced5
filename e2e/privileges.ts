import { readFileSync } from 'node:fs'

const capSysAdmin = 21n

/**
 * Why container engines cannot run here, or `false`: they mount file systems, which takes root and, in a container,
 * one that was started with that capability.
 */
export function engineSkip(): string | false {
  if (process.platform !== 'linux') return 'container engines run on Linux'
  if (process.getuid?.() !== 0) return 'only root can run a container engine'
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return (BigInt(`0x${effective}`) >> capSysAdmin) & 1n ? false : 'root may not mount here (no CAP_SYS_ADMIN)'
}
