"""The install script of a proxy VM. Its parts lie beside this file; `script` puts them together."""
