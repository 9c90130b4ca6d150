# What `cmake --install` puts where, and the Debian package that `cpack` makes of it.
include(GNUInstallDirs)

if(TARGET kubectl-vmbackup)
  if(VMBACKUP_STATIC)
    # Released as it is; a distribution's build of the dynamic binary keeps its symbols for a package of their own.
    install(CODE "set(CMAKE_INSTALL_DO_STRIP 1)")
  endif()
  install(TARGETS kubectl-vmbackup RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

foreach(section 1 5 7)
  file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.${section})
  install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

set(completions ${PROJECT_SOURCE_DIR}/completions)
if(EXISTS ${completions})
  install(FILES ${completions}/kubectl-vmbackup.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${completions}/_kubectl-vmbackup DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${completions}/kubectl-vmbackup.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  # kubectl looks for it in PATH.
  install(PROGRAMS ${completions}/kubectl_complete-vmbackup DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# For editors that check a recipe as it is written.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/schema/recipe.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/kubectl-vmbackup)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME kubectl-vmbackup)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the kubectl-vmbackup maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "back up KubeVirt virtual machines")
set(CPACK_PACKAGE_DESCRIPTION "A kubectl plugin that takes snapshots of KubeVirt virtual machines and says what they are worth.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_STRIP_FILES ON)
include(CPack)
