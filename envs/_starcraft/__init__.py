"""What smac_v0 and smacv2_v0 share: the installation, the protocol, one game, one team in it."""
