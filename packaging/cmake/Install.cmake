# What `cmake --install` puts where.
include(GNUInstallDirs)

if(TARGET kubectl-vmbackup)
  install(TARGETS kubectl-vmbackup RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
